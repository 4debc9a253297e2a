// The one error of this room: an update that cannot be made, with what the user can do.

export class UpdateError extends Error {
  /** @param hint what the user can do about it */
  constructor(
    message: string,
    readonly hint: string,
  ) {
    super(message)
    this.name = 'UpdateError'
  }
}
