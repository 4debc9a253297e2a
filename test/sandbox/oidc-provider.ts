// Loads oidc-provider without its warning about Node.js 20, on which it works. Its later warnings point to real mistakes.
import './keys.ts' // first, because the key is generated while the rest loads

const { warn } = console
console.warn = (...words: unknown[]) => {
  if (!String(words[0]).includes('oidc-provider WARNING: Unsupported runtime')) warn(...words)
}
const { default: Provider, errors } = await import('oidc-provider')
console.warn = warn

export { errors, Provider }
