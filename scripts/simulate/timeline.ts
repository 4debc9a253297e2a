// Virtual time: actions in order of their time. All promise callbacks of an action run before the next action.

export class Timeline {
  /** Seconds since the first midnight. */
  now = 0
  // A binary heap in two arrays: with a hundred thousand users, objects would take half of the run's time.
  readonly #times: number[] = []
  readonly #actions: (() => void)[] = []

  at(time: number, action: () => void): void {
    const times = this.#times
    const actions = this.#actions
    let hole = times.length
    times.push(time)
    actions.push(action)
    while (hole > 0) {
      const parent = (hole - 1) >> 1
      const above = times[parent] as number
      if (above <= time) break
      times[hole] = above
      actions[hole] = actions[parent] as () => void
      hole = parent
    }
    times[hole] = time
    actions[hole] = action
  }

  /** Runs all actions up to a time. */
  run(until: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const step = () => {
        const next = this.#times[0]
        if (next === undefined || next > until) {
          this.now = until
          resolve()
          return
        }
        this.now = Math.max(this.now, next)
        try {
          this.#popFirst()()
        } catch (error) {
          reject(error)
          return
        }
        queueMicrotask(afterPromises)
      }
      // A tick that a microtask schedules runs when the queue of microtasks is empty, without a turn of the event loop.
      const afterPromises = () => process.nextTick(step)
      step()
    })
  }

  #popFirst(): () => void {
    const times = this.#times
    const actions = this.#actions
    const first = actions[0] as () => void
    const time = times.pop() as number
    const action = actions.pop() as () => void
    const { length } = times
    if (length === 0) return first
    let hole = 0
    for (;;) {
      let child = 2 * hole + 1
      if (child >= length) break
      if (child + 1 < length && (times[child + 1] as number) < (times[child] as number)) child++
      const below = times[child] as number
      if (below >= time) break
      times[hole] = below
      actions[hole] = actions[child] as () => void
      hole = child
    }
    times[hole] = time
    actions[hole] = action
    return first
  }
}
