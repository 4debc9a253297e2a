// Runs one action at a time, in the order of arrival: refresh, logout and the commit of a sign-in never overlap.

export class Mutex {
  #last: Promise<unknown> = Promise.resolve()

  /** Runs `action` once all earlier ones have ended, whether they succeeded or failed. */
  run<T>(action: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(action)
    this.#last = turn.catch(() => undefined)
    return turn
  }

  /** Resolves when every action queued until now has ended. */
  async idle(): Promise<void> {
    await this.#last
  }
}
