// The section of a version in the changelog.
import { NotReleasable } from './releasable.ts'

/**
 * @param version undefined for the newest section that has a text: in a dry run, what is not released yet, if there is anything
 * @throws {NotReleasable} if there is no such section, or it is empty
 */
export function sectionOf(changelog: string, version: string | undefined): string {
  const title = version === undefined ? '## [' : `## [${version}]`
  const sections = changelog.split(/^(?=## \[)/m).filter((one) => one.startsWith(title))
  const body = sections.map((section) => section.replace(/^.*\n/, '').trim()).find((text) => text !== '')
  if (body === undefined)
    throw new NotReleasable(
      `CHANGELOG.md has no text for ${version ?? 'any version'}`,
      'move what is under «Unreleased» below a heading with the version',
    )
  return `${body}\n`
}
