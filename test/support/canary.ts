// Looks for secrets in whatever a run has left behind: as they are, in base64, in hex and as in a URL.
export interface Secret {
  readonly name: string
  readonly value: string
}

export interface Surface {
  readonly name: string
  readonly content: string | Buffer
  /** Secrets that belong there, by name. */
  readonly may?: readonly string[]
}

/** The forms that a secret may have taken on its way. */
export function formsOf(value: string): Map<string, string> {
  const bytes = Buffer.from(value)
  const forms = new Map([['raw', value]])
  const encoded = encodeURIComponent(value)
  if (encoded !== value) forms.set('url', encoded)
  forms.set('hex', bytes.toString('hex'))
  forms.set('HEX', bytes.toString('hex').toUpperCase())
  // In base64 a text looks different by where it begins; its first and last group depend on its neighbours.
  for (const before of [0, 1, 2]) {
    const shifted = Buffer.concat([Buffer.alloc(before), bytes])
    const whole = shifted.subarray(0, shifted.length - (shifted.length % 3)).toString('base64')
    const sure = whole.slice(before === 0 ? 0 : 4)
    forms.set(`base64+${before}`, sure)
    forms.set(`base64url+${before}`, sure.replaceAll('+', '-').replaceAll('/', '_'))
  }
  return forms
}

/** Names what was found where; never the secret itself. */
export function findSecrets(secrets: readonly Secret[], surfaces: readonly Surface[]): string[] {
  const hits: string[] = []
  for (const { name, value } of secrets) {
    if (value.length < 16) throw new Error(`the secret ${name} is too short to be looked for`)
    for (const [form, text] of formsOf(value)) {
      for (const { name: where, content, may = [] } of surfaces) {
        const isThere = typeof content === 'string' ? content.includes(text) : content.includes(text, 0, 'latin1')
        if (isThere && !may.includes(name)) hits.push(`${name} (${form}) in ${where}`)
      }
    }
  }
  return hits
}
