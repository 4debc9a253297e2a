// The completion scripts of bash, zsh, fish and PowerShell, made from the commands.

export interface Completed {
  /** The names of the command, from the program's first one on; empty for the program itself. */
  readonly path: readonly string[]
  readonly commands: readonly { readonly word: string; readonly description: string }[]
  readonly options: readonly CompletedOption[]
  /** What its argument can be, if that is known. */
  readonly values: readonly string[]
  readonly takesFile: boolean
}

interface CompletedOption {
  /** `-f` and `--follow`. */
  readonly words: readonly string[]
  readonly description: string
  readonly takesValue: boolean
  /** What its value can be, if that is known. */
  readonly values: readonly string[]
}

type Script = (commands: readonly Completed[]) => string
export type Shell = 'bash' | 'zsh' | 'fish' | 'powershell'

/** ` service install`: a command as the scripts collect it from the words. */
const keyOf = (path: readonly string[]) => path.map((name) => ` ${name}`).join('')

/** What may follow a command, each with its description. */
function suggestions({ commands, options, values }: Completed): [string, string][] {
  return [
    ...commands.map(({ word, description }): [string, string] => [word, description]),
    ...values.map((value): [string, string] => [value, '']),
    ...options.map(({ words, description }): [string, string] => [String(words.at(-1)), description]),
  ]
}

/** Each option that takes a value, as ` login --profile`, with its known values. */
function valueOptions(commands: readonly Completed[]): [string, readonly string[]][] {
  return commands.flatMap(({ path, options }) =>
    options
      .filter(({ takesValue }) => takesValue)
      .flatMap(({ words, values }) =>
        words.map((word): [string, readonly string[]] => [`${keyOf(path)} ${word}`, values]),
      ),
  )
}

/** In single quotes, for bash and zsh. */
const quote = (text: string) => `'${text.replaceAll("'", "'\\''")}'`
const keys = (commands: readonly Completed[]) =>
  commands.filter(({ path }) => path.length > 0).map(({ path }) => quote(keyOf(path)))

const bash: Script = (commands) => `# bash completion of cadzero-auth: eval "$(cadzero-auth completion bash)"
_cadzero_auth() {
  local current=\${COMP_WORDS[COMP_CWORD]} command= found= i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$command \${COMP_WORDS[i]}" in
      ${keys(commands).join(' | ')}) command+=" \${COMP_WORDS[i]}" ;;
    esac
  done
  case "$command \${COMP_WORDS[COMP_CWORD - 1]}" in
${valueOptions(commands)
  .map(([key, values]) => `    ${quote(key)}) found=${quote(values.join(' '))} ;;`)
  .join('\n')}
    *)
      case $command in
${commands
  .map((one) => {
    const words = suggestions(one).map(([word]) => word)
    const typed = one.takesFile ? '[[ $current == -* ]] && ' : '' // otherwise bash completes the names of files
    return `        ${quote(keyOf(one.path))}) ${typed}found=${quote(words.join(' '))} ;;`
  })
  .join('\n')}
      esac
      ;;
  esac
  COMPREPLY=($(compgen -W "$found" -- "$current"))
}
complete -o default -F _cadzero_auth cadzero-auth`

const zsh: Script = (commands) => `#compdef cadzero-auth
# zsh completion of cadzero-auth: a file _cadzero-auth in a folder of $fpath, or eval "$(cadzero-auth completion zsh)"
_cadzero-auth() {
  local command= i
  local -a found
  for ((i = 2; i < CURRENT; i++)); do
    case "$command $words[i]" in
      ${keys(commands).join(' | ')}) command+=" $words[i]" ;;
    esac
  done
  case "$command $words[CURRENT-1]" in
${valueOptions(commands)
  .map(([key, values]) => `    ${quote(key)}) found=(${values.map(quote).join(' ')}) ;;`)
  .join('\n')}
    *)
      case $command in
${commands
  .map((one) => {
    const words = suggestions(one).map(([word, description]) => quote(description ? `${word}:${description}` : word))
    const files = one.takesFile ? '_files; ' : ''
    return `        ${quote(keyOf(one.path))}) ${files}found=(${words.join(' ')}) ;;`
  })
  .join('\n')}
      esac
      ;;
  esac
  _describe cadzero-auth found
}
if [[ $funcstack[1] == _cadzero-auth ]]; then _cadzero-auth "$@"; else compdef _cadzero-auth cadzero-auth; fi`

const fishQuote = (text: string) => `'${text.replace(/[\\']/g, '\\$&')}'`

const fish: Script = (commands) =>
  [
    '# fish completion of cadzero-auth: cadzero-auth completion fish > ~/.config/fish/completions/cadzero-auth.fish',
    'complete -c cadzero-auth -f',
    ...commands.flatMap((one) => {
      const start = `complete -c cadzero-auth -n ${fishQuote(fishCondition(one, commands))}`
      const describe = (description: string) => (description ? ` -d ${fishQuote(description)}` : '')
      return [
        ...one.commands.map(({ word, description }) => `${start} -a ${word}${describe(description)}`),
        ...one.values.map((value) => `${start} -a ${value}`),
        ...(one.takesFile ? [`${start} -F`] : []),
        ...one.options.map(({ words, description, takesValue, values }) => {
          const names = words.map((word) => (word.startsWith('--') ? ` -l ${word.slice(2)}` : ` -s ${word.slice(1)}`))
          const value = takesValue ? ` -x${values.length > 0 ? ` -a ${fishQuote(values.join(' '))}` : ''}` : ''
          return start + names.join('') + value + describe(description)
        }),
      ]
    }),
  ].join('\n')

/** True if the words before the cursor name this command, and no command below it. */
function fishCondition({ path, commands }: Completed, all: readonly Completed[]): string {
  if (path.length === 0) return '__fish_use_subcommand'
  const seen = path.map((name) => `__fish_seen_subcommand_from ${name}`)
  const below = commands.map(({ word }) => word)
  // `service status` is not `status`.
  const parents =
    path.length === 1 ? all.filter(({ path: [, name] }) => name === path[0]).map(({ path: [name] }) => name) : []
  const others = [...below, ...parents].map((name) => `not __fish_seen_subcommand_from ${name}`)
  return [...seen, ...others].join('; and ')
}

const powershellQuote = (text: string) => `'${text.replaceAll("'", "''")}'`

const powershell: Script = (
  commands,
) => `# PowerShell completion of cadzero-auth: cadzero-auth completion powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName 'cadzero-auth', 'cadzero-auth.exe' -ScriptBlock {
  param($current, $ast, $cursor)
  $found = @{
${commands
  .map((one) => {
    const words = suggestions(one).map((pair) => `@(${pair.map(powershellQuote).join(', ')})`)
    return `    ${powershellQuote(keyOf(one.path))} = @(${words.map((word) => `,${word}`).join('; ')})`
  })
  .join('\n')}
  }
  $values = @{
${valueOptions(commands)
  .map(([key, values]) => `    ${powershellQuote(key)} = @(${values.map(powershellQuote).join(', ')})`)
  .join('\n')}
  }
  $before = @($ast.CommandElements | Where-Object { $_.Extent.EndOffset -lt $cursor } | Select-Object -Skip 1 | ForEach-Object { "$_" })
  $command = ''
  foreach ($word in $before) { if ($found.ContainsKey("$command $word")) { $command = "$command $word" } }
  $last = if ($before.Count -gt 0) { "$command $($before[-1])" } else { '' }
  $pairs = @(if ($values.ContainsKey($last)) { $values[$last] | ForEach-Object { ,@($_, '') } } else { $found[$command] })
  $pairs | Where-Object { $_[0] -like "$current*" } | ForEach-Object {
    $description = if ($_[1]) { $_[1] } else { $_[0] }
    [System.Management.Automation.CompletionResult]::new($_[0], $_[0], 'ParameterValue', $description)
  }
}`

export const SCRIPTS: Readonly<Record<Shell, Script>> = { bash, zsh, fish, powershell }
