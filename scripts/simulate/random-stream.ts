// Seeded randomness: the same seed and stream give the same numbers.
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64'
import { uniformInt } from 'pure-rand/distribution/uniformInt'
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus'
import { skipN } from 'pure-rand/utils/skipN'
import type { Random } from '../../src/host/random.ts'

const GOLDEN_RATIO = 0x9e3779b1 // odd, so that each stream of a seed starts from another number
const WARM_UP = 32 // numbers; the first ones of neighbouring seeds resemble each other

export class RandomStream {
  readonly #generator

  /** @param stream separates users: the numbers of one do not depend on how many another has drawn */
  constructor(seed: number, stream: number) {
    this.#generator = xoroshiro128plus(seed ^ Math.imul(stream, GOLDEN_RATIO))
    skipN(this.#generator, WARM_UP)
  }

  /** From 0 to less than 1. */
  unit(): number {
    return uniformFloat64(this.#generator)
  }

  between(least: number, most: number): number {
    return least + (most - least) * this.unit()
  }

  /** The time until the next event, if events are equally likely at every moment. */
  exponential(mean: number): number {
    return -mean * Math.log(1 - this.unit())
  }

  /** Close to a normal distribution, without its far tails. */
  normal(mean: number, deviation: number): number {
    const sum = this.unit() + this.unit() + this.unit() + this.unit()
    return mean + (sum - 2) * Math.sqrt(3) * deviation
  }

  /** Random bytes, as the daemon's back-off takes them. */
  readonly bytes: Random = (size) =>
    Buffer.from(Array.from({ length: size }, () => uniformInt(this.#generator, 0, 255)))
}
