// Chooses what a process runs: a small program for `header`, which shells call, and otherwise the whole one.

/** @param run runs a file of the program, and returns what it exports */
export async function chooseProgram(argv: readonly string[], run: (name: string) => unknown): Promise<void> {
  if (argv.length === 3 && argv[2] === 'header') {
    const { isPrinted } = run('header.cjs') as { isPrinted: Promise<boolean> }
    if (await isPrinted) return
  }
  run('program.cjs')
}
