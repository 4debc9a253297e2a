// The section of a version in the changelog.

/**
 * @param version undefined for the section of what is not released yet
 * @throws an error if there is no such section, or it is empty
 */
export function sectionOf(changelog: string, version: string | undefined): string {
  const title = version ?? 'Unreleased'
  const sections = changelog.split(/^(?=## \[)/m)
  const section = sections.find((one) => one.startsWith(`## [${title}]`))
  const body = section?.replace(/^.*\n/, '').trim()
  if (!body) throw new Error(`CHANGELOG.md has no text for ${title}`)
  return `${body}\n`
}
