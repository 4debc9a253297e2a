// Searches files and outputs for secrets: as they are, in base64, in hex and URL-encoded.
export interface Secret {
  readonly name: string
  readonly value: string
}

export interface Surface {
  readonly name: string
  readonly content: string | Buffer
  /** The names of the secrets that are expected there. */
  readonly may?: readonly string[]
}

/** The encodings in which a secret may appear. */
export function formsOf(value: string): Map<string, string> {
  const bytes = Buffer.from(value)
  const forms = new Map([['raw', value]])
  const encoded = encodeURIComponent(value)
  if (encoded !== value) forms.set('url', encoded)
  forms.set('hex', bytes.toString('hex'))
  forms.set('HEX', bytes.toString('hex').toUpperCase())
  // The base64 form depends on the offset; the first and the last group depend on the neighbouring bytes.
  for (const before of [0, 1, 2]) {
    const shifted = Buffer.concat([Buffer.alloc(before), bytes])
    const encodedText = shifted.subarray(0, shifted.length - (shifted.length % 3)).toString('base64')
    const stable = encodedText.slice(before === 0 ? 0 : 4)
    forms.set(`base64+${before}`, stable)
    forms.set(`base64url+${before}`, stable.replaceAll('+', '-').replaceAll('/', '_'))
  }
  return forms
}

/** Returns which secret was found where, without the secret itself. */
export function findSecrets(secrets: readonly Secret[], surfaces: readonly Surface[]): string[] {
  const hits: string[] = []
  for (const { name, value } of secrets) {
    if (value.length < 16) throw new Error(`the secret ${name} is too short to search for`)
    for (const [form, text] of formsOf(value)) {
      for (const { name: where, content, may = [] } of surfaces) {
        const isFound = typeof content === 'string' ? content.includes(text) : content.includes(text, 0, 'latin1')
        if (isFound && !may.includes(name)) hits.push(`${name} (${form}) in ${where}`)
      }
    }
  }
  return hits
}
