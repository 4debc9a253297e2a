// Writes the page about the fleet: what was played, the table, the plot, and what it says.
import type { Result } from './scenarios.ts'
import type { Capacity } from './table.ts'

export function pageOf(_results: readonly Result[], _capacities: readonly Capacity[]): string {
  return ''
}
