// Loads oidc-provider without its word about Node 20, on which it runs. What it says later is a mistake of ours, and wanted.
import './keys.ts' // first: the key is made while the rest loads

const { warn } = console
console.warn = (...words: unknown[]) => {
  if (!String(words[0]).includes('oidc-provider WARNING: Unsupported runtime')) warn(...words)
}
const { default: Provider, errors } = await import('oidc-provider')
console.warn = warn

export { errors, Provider }
