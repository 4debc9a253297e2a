// The entry point of a bundle of its own: prints the header.
import { printPlainHeader } from '../cli/plain-header.ts'

/** Whether that has succeeded. */
export const isPrinted = printPlainHeader(process.env)
