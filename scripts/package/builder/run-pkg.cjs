// Runs pkg in its simple SEA mode: run-pkg.cjs PKG MAIN OPTIONS. Its public interface reaches that mode without `seaConfig`, so without
// assets and without `execArgvExtension`; this is the function behind it. The version is pinned, and a test fails if it moves.
const { join } = require('node:path')

const [folder, main, options] = process.argv.slice(2)
const { default: build } = require(join(folder, 'lib-es5/sea.js'))
build(main, JSON.parse(options)).catch((error) => {
  process.exitCode = 1
  process.stderr.write(`${error.stack}\n`)
})
