// Reads environment variables, and collects what is wrong with all of them. An error names the variable, never its value.
import type { FileSystem } from '../host/files.ts'

export type Environment = Readonly<Record<string, string | undefined>>

export interface SettingProblem {
  readonly variable: string
  readonly problem: string
  readonly hint: string
}

/** Some environment variables are missing or invalid: all of them at once. */
export class SettingsError extends Error {
  readonly hint: string

  constructor(readonly problems: readonly SettingProblem[]) {
    super(problems.map(({ variable, problem }) => `${variable} ${problem}`).join('; '))
    this.name = 'SettingsError'
    this.hint = [...new Set(problems.map(({ hint }) => hint))].join('; ')
  }
}

const MAX_FILE_BYTES = 64 * 1024

export interface FoundSecrets {
  readonly env: Environment
  /** A file cannot be read, or both variables are set. */
  readonly problems: readonly SettingProblem[]
}

/**
 * Puts the content of `NAME_FILE` in place of each secret `NAME` that is unset: a container gets its secrets as files.
 * A newline at the end is no part of the secret.
 */
export async function readSecretFiles(
  env: Environment,
  names: readonly string[],
  files: Pick<FileSystem, 'readFile' | 'stat'>,
): Promise<FoundSecrets> {
  const found: Record<string, string> = {}
  const problems: SettingProblem[] = []
  for (const name of names) {
    const variable = `${name}_FILE`
    const path = env[variable]
    if (!path) continue
    if (env[name]) {
      problems.push({ variable, problem: `and ${name} are both set`, hint: `unset ${name} or ${variable}` })
      continue
    }
    const text = await readText(files, path)
    if (text) found[name] = text
    else
      problems.push({
        variable,
        problem: 'cannot be read or is empty',
        hint: `set ${variable} to a readable file with the secret`,
      })
  }
  return { env: { ...env, ...found }, problems }
}

async function readText(files: Pick<FileSystem, 'readFile' | 'stat'>, path: string): Promise<string | undefined> {
  try {
    const found = await files.stat(path) // a pipe would block for ever
    if (!found.isFile() || found.size > MAX_FILE_BYTES) return undefined
    return (await files.readFile(path, 'utf8')).replace(/[\r\n]+$/, '')
  } catch {
    return undefined
  }
}

/** A setting's value as it is used, or undefined if the text is not one. */
export type Parse<T> = (text: string) => T | undefined

/** Reads variables one by one; `done` throws if one of them was wrong. */
export class EnvironmentReader {
  readonly #env: Environment
  readonly #problems: SettingProblem[]
  readonly #read = new Set<string>()

  /** @param problems those that are known already, such as of a file with a secret */
  constructor(env: Environment, problems: readonly SettingProblem[] = []) {
    this.#env = env
    this.#problems = [...problems]
  }

  /**
   * The variable's value; undefined if it is unset, empty or wrong.
   * @param expected completes the hint «set NAME to …»
   */
  optional<T>(variable: string, expected: string, parse: Parse<T>): T | undefined {
    const text = this.#textOf(variable)
    if (!text) return undefined
    const value = parse(text)
    if (value === undefined) this.#add(variable, 'is invalid', expected)
    return value
  }

  /** As `optional`, but it is a problem if the variable is unset. */
  required<T>(variable: string, expected: string, parse: Parse<T>): T | undefined {
    const isReported = this.#problems.some((one) => one.variable === `${variable}_FILE`)
    if (!this.#textOf(variable) && !isReported) this.#add(variable, 'is missing', expected)
    return this.optional(variable, expected, parse)
  }

  wholeNumber(variable: string, minimum: number, maximum: number): number | undefined {
    return this.optional(variable, `a whole number from ${minimum} to ${maximum}`, (text) => {
      const value = /^\d{1,12}$/.test(text) ? Number(text) : Number.NaN
      return value >= minimum && value <= maximum ? value : undefined
    })
  }

  /** The variables with this prefix that have no meaning: misspelt, or of another version. */
  unread(prefix: string): readonly string[] {
    return Object.keys(this.#env).filter((name) => name.startsWith(prefix) && !this.#read.has(name))
  }

  /** @throws SettingsError with all problems */
  done(): void {
    if (this.#problems.length > 0) throw new SettingsError(this.#problems)
  }

  /** Adds a problem that no single value shows. */
  add(problem: SettingProblem): void {
    this.#problems.push(problem)
  }

  /** Without the quotes that `docker --env-file` and YAML leave around a value. */
  #textOf(variable: string): string | undefined {
    this.#read.add(variable)
    return this.#env[variable]
      ?.trim()
      .replace(/^(["'])(.*)\1$/s, '$2')
      .trim()
  }

  #add(variable: string, problem: string, expected: string): void {
    this.#problems.push({ variable, problem, hint: `set ${variable} to ${expected}` })
  }
}

/** The parts of a list that is separated by commas; undefined if it has none, or one of them is wrong. */
export function listOf<T>(parse: Parse<T>): Parse<T[]> {
  return (text) => {
    const parts = text
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== '')
    const values = parts.map(parse).filter((value) => value !== undefined)
    return values.length > 0 && values.length === parts.length ? values : undefined
  }
}
