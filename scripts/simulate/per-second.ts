// Counts events for each second of a day.
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

/** The highest count of all windows of this many seconds, one after another from `from` on. */
export function peak(counts: Uint32Array, seconds: number, from = 0, to = counts.length): number {
  let highest = 0
  for (let start = from; start < to; start += seconds) highest = Math.max(highest, sum(counts, start, start + seconds))
  return highest
}
