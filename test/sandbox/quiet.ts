// Silences the two words that oidc-provider says while it is loaded: that it does not know Node 20, on which it runs.
const { warn, info } = console

const quietly =
  (write: typeof warn): typeof warn =>
  (...words) => {
    if (!String(words[0]).includes('oidc-provider')) write(...words)
  }

console.warn = quietly(warn)
console.info = quietly(info)
