// Runs actions one at a time, in the order they came: refresh, logout and the commit of a sign-in never overlap.

export class Turns {
  #last: Promise<unknown> = Promise.resolve()

  /** Runs the action when all before it are done, whether they succeeded or not. */
  run<T>(action: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(action)
    this.#last = turn.catch(() => undefined)
    return turn
  }

  /** Resolves when everything that was queued until now is done. */
  async idle(): Promise<void> {
    await this.#last
  }
}
