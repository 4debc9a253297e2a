// A line of the daemon's log as text for a terminal.
import { describe, expect, it } from 'vitest'
import { describeLogLine } from '../../../src/cli/autostart/log-line.ts'

describe('describeLogLine', () => {
  it.each([
    ['{"level":40,"time":"T","event":"a","reason":"two words","ms":3}', 'T  warn   a  reason="two words"  ms=3'],
    ['{"level":35,"time":"T","event":"a"}', 'T  35     a'],
    ['no JSON \u001b[31m \u0085', 'no JSON \\u001b[31m \\u0085'],
    ['{"level":30,"time":"T","event":"\\u001b]0;x"}', 'T  info   "\\u001b]0;x"'],
    ['7', '7'],
  ])('shows %j as %j', (line, shown) => expect(describeLogLine(line)).toBe(shown))
})
