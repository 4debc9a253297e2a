// The exit codes of the commands.

export const EXIT = { ok: 0, failed: 1, usage: 2, noDaemon: 3, signInNeeded: 4, updateAvailable: 5 } as const
