// Measures both sides in alternating rounds, so that other load on the machine affects both alike.

export interface Pair<T> {
  readonly daemon: T
  readonly bare: T
}

/** Runs one more round than `count`: the first is a warm-up and not counted. */
export async function rounds<T>(
  count: number,
  daemon: () => Promise<T>,
  bare: () => Promise<T>,
): Promise<readonly Pair<T>[]> {
  const pairs: Pair<T>[] = []
  for (let i = 0; i <= count; i++) {
    const daemonFirst = i % 2 === 1
    const before = daemonFirst ? undefined : await bare()
    const ofDaemon = await daemon()
    pairs.push({ daemon: ofDaemon, bare: before ?? (await bare()) })
  }
  return pairs.slice(1)
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

/** The middle half of the values, as in `0.91–1.07`. */
export function spreadOf(values: readonly number[], digits: number): string {
  const sorted = [...values].sort((a, b) => a - b)
  const quartile = (part: number) => (sorted[Math.round((sorted.length - 1) * part)] ?? Number.NaN).toFixed(digits)
  return `${quartile(0.25)}–${quartile(0.75)}`
}

/** The median of each side, and the median of the ratios of the rounds, rounded to the two digits that are shown. */
export function compare<T>(
  pairs: readonly Pair<T>[],
  value: (one: T) => number,
): { readonly daemon: number; readonly bare: number; readonly ratio: number; readonly spread: string } {
  const ratios = pairs.map((pair) => value(pair.daemon) / value(pair.bare))
  return {
    daemon: median(pairs.map((pair) => value(pair.daemon))),
    bare: median(pairs.map((pair) => value(pair.bare))),
    ratio: Number(median(ratios).toFixed(2)),
    spread: spreadOf(ratios, 2),
  }
}
