// A user in a namespace: signs in at the provider, and prints the address that the browser is sent back to.
import { signIn } from '../sandbox/user.ts'

const [, , issuer = '', authorizationUrl = ''] = process.argv
const { callbackUrl } = await signIn(issuer, authorizationUrl, { deliver: false })
process.stdout.write(callbackUrl)
