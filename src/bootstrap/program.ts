// The program: what `cadzero-auth` on the command line runs.
import { main } from '../cli/main.ts'

void main(process.argv)
