// The version of the part of the system that a program needs: glibc, the kernel of macOS, or Windows.
import { release } from 'node:os'

export interface SystemVersion {
  readonly part: 'glibc' | 'darwin' | 'windows'
  /** Numbers with dots, such as `2.36`. */
  readonly version: string
}

/** Undefined if the system does not tell. */
export function systemVersion(platform: NodeJS.Platform = process.platform): SystemVersion | undefined {
  if (platform === 'darwin' || platform === 'win32') {
    const [version] = /^\d+(\.\d+)*/.exec(release()) ?? []
    return version === undefined ? undefined : { part: platform === 'win32' ? 'windows' : platform, version }
  }
  const report = process.report as NodeJS.ProcessReport & { excludeNetwork: boolean } // since Node 22
  report.excludeNetwork = true // otherwise the report looks up names
  const { header } = report.getReport() as { header?: { glibcVersionRuntime?: string } }
  const version = header?.glibcVersionRuntime
  return version === undefined ? undefined : { part: 'glibc', version }
}

/** The name that releases give to this system, such as `linux-x64`. */
export function targetName(platform: NodeJS.Platform = process.platform, cpu: string = process.arch): string {
  const names: Partial<Record<NodeJS.Platform, string>> = { win32: 'win', darwin: 'macos' }
  return `${names[platform] ?? platform}-${cpu}`
}
