// The name of an error in logs and the status: a word from a closed list, never the error's text.
import { StoreError } from '../store/errors.ts'

export function reasonOf(error: unknown): string {
  if (error instanceof StoreError) return error.code
  if (error instanceof Error && 'reason' in error && typeof error.reason === 'string') return error.reason
  return error instanceof Error ? error.name : 'unknown'
}
