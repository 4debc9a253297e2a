// The recorded requests of a sandbox, and the faults that are scripted for the next requests.
import type { Fault } from './faults.ts'

export interface RecordedRequest {
  readonly method: string
  readonly path: string
  readonly grantType: string | null
  /** The Unix time of its arrival in milliseconds. */
  readonly at: number
  readonly form: Readonly<Record<string, string>>
  readonly query: Readonly<Record<string, string>>
}

export interface RequestRecord {
  readonly requests: readonly RecordedRequest[]
  count(path: string, grantType?: string): number
  script(path: string, ...faults: Fault[]): void
  arrived(path: string, n?: number): Promise<void>
  /** Records a request; returns the fault that is scripted for it. */
  record(request: RecordedRequest): Fault
}

export function createRecord(): RequestRecord {
  const requests: RecordedRequest[] = []
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
    record(request) {
      requests.push(request)
      for (const one of waiting) {
        if (one.path !== request.path || --one.left > 0) continue
        waiting.delete(one)
        one.resolve()
      }
      return faults.get(request.path)?.shift() ?? { kind: 'pass' }
    },
  }
}
