// The sections of the changelog.
import { NotReleasable } from './releasable.ts'

/** The texts of the sections whose heading starts with this title, the newest first. */
function textsOf(changelog: string, title: string): string[] {
  const sections = changelog.split(/^(?=## \[)/m).filter((one) => one.startsWith(title))
  return sections.map((section) => section.replace(/^.*\n?/, '').trim())
}

/** @throws {NotReleasable} if the notes of a release would lack changes, since they are under «Unreleased» */
export function requireNothingUnreleased(changelog: string): void {
  if (textsOf(changelog, '## [Unreleased]').every((text) => text === '')) return
  throw new NotReleasable(
    'CHANGELOG.md has changes under «Unreleased», which the notes of this release would lack',
    'move them below a heading with the version, and commit that',
  )
}

/**
 * @param version undefined for the newest section that has a text: in a dry run, what is not released yet, if there is anything
 * @throws {NotReleasable} if there is no such section, or it is empty
 */
export function sectionOf(changelog: string, version: string | undefined): string {
  const body = textsOf(changelog, version === undefined ? '## [' : `## [${version}]`).find((text) => text !== '')
  if (body === undefined)
    throw new NotReleasable(
      `CHANGELOG.md has no text for ${version ?? 'any version'}`,
      'move what is under «Unreleased» below a heading with the version',
    )
  return `${body}\n`
}
