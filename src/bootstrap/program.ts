// The entry point of the bundle: runs the command line.
import { main } from '../cli/main.ts'

void main(process.argv)
