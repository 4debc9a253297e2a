// The environment of the programs that a build, a bench or a trial starts.

/** An environment without the settings of this machine. Its TMPDIR tells the reaper of a bench that the process is one of its run. */
export function plainEnvironment(): NodeJS.ProcessEnv {
  const { PATH, HOME, SYSTEMROOT, TMPDIR } = process.env
  return { PATH, HOME, SYSTEMROOT, TMPDIR }
}
