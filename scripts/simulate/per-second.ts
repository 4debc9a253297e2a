// Counts something for each second of the day.
const DAY = 86_400

export class PerSecond {
  readonly counts = new Uint32Array(DAY)

  add(time: number): void {
    const second = Math.min(DAY - 1, Math.floor(time))
    this.counts[second] = (this.counts[second] as number) + 1
  }
}

export function sum(counts: Uint32Array, from = 0, to = counts.length): number {
  let total = 0
  for (let second = Math.max(0, Math.floor(from)); second < to && second < counts.length; second++)
    total += counts[second] as number
  return total
}

/** The most in `seconds` on end, in windows that begin with a multiple of it. */
export function peak(counts: Uint32Array, seconds: number, from = 0, to = counts.length): number {
  let most = 0
  for (let start = from; start < to; start += seconds) most = Math.max(most, sum(counts, start, start + seconds))
  return most
}
