// What one sandbox has been asked, and what it is told to do with the requests to come.
import type { Fault } from './faults.ts'

export interface SeenRequest {
  readonly method: string
  readonly path: string
  readonly grantType: string | null
  /** When it came, in milliseconds. */
  readonly at: number
  readonly form: Readonly<Record<string, string>>
  readonly query: Readonly<Record<string, string>>
}

export interface RequestRecord {
  readonly requests: readonly SeenRequest[]
  count(path: string, grantType?: string): number
  script(path: string, ...faults: Fault[]): void
  arrived(path: string, n?: number): Promise<void>
  /** Notes a request, and says what is scripted for it. */
  enter(seen: SeenRequest): Fault
}

export function createRecord(): RequestRecord {
  const requests: SeenRequest[] = []
  const faults = new Map<string, Fault[]>()
  const waiting = new Set<{ path: string; left: number; resolve: () => void }>()

  return {
    requests,
    count: (path, grantType) =>
      requests.filter((one) => one.path === path && (grantType === undefined || one.grantType === grantType)).length,
    script(path, ...next) {
      faults.set(path, [...(faults.get(path) ?? []), ...next])
    },
    arrived: (path, n = 1) => new Promise((resolve) => waiting.add({ path, left: n, resolve })),
    enter(seen) {
      requests.push(seen)
      for (const one of waiting) {
        if (one.path !== seen.path || --one.left > 0) continue
        waiting.delete(one)
        one.resolve()
      }
      return faults.get(seen.path)?.shift() ?? { kind: 'pass' }
    },
  }
}
