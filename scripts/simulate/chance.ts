// Chance that can be repeated: the same seed gives the same day.
import type { Random } from '../../src/host/random.ts'

export class Chance {
  #state: number

  /** @param stream keeps what one person does from depending on what another has drawn */
  constructor(seed: number, stream: number) {
    this.#state = (Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(stream + 1, 0xc2b2ae35)) | 0
    for (let i = 0; i < 4; i++) this.unit() // neighbouring streams start alike
  }

  /** From 0 to less than 1 (mulberry32). */
  unit(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  between(least: number, most: number): number {
    return least + (most - least) * this.unit()
  }

  /** Waiting times of what comes at any moment with equal chance. */
  exponential(mean: number): number {
    return -mean * Math.log(1 - this.unit())
  }

  /** Near enough to a normal distribution, and without its far tails. */
  around(mean: number, deviation: number): number {
    const sum = this.unit() + this.unit() + this.unit() + this.unit()
    return mean + (sum - 2) * Math.sqrt(3) * deviation
  }
}

/** What the daemon's back-off asks for chance. */
export function randomOf(chance: Chance): Random {
  return (size) => Buffer.from(Array.from({ length: size }, () => Math.floor(chance.unit() * 256)))
}
