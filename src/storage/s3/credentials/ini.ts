/** The files that AWS's own tools keep in `~/.aws`: sections in brackets with `key = value` lines. */

/** Settings by section name, keys in lower case. A section that comes twice is one. */
export function parseIni(text: string): Map<string, Map<string, string>> {
  const sections = new Map<string, Map<string, string>>();
  let section: Map<string, string> | undefined;
  for (const line of text.split(/\r?\n/)) {
    const header = /^\s*\[\s*([^\]]*?)\s*\]/.exec(line);
    if (header !== null) {
      const name = header[1]!.replace(/\s+/g, " ");
      section = sections.get(name) ?? new Map<string, string>();
      sections.set(name, section);
      continue;
    }
    // Indented lines are nested settings (of `s3 =`), which are none of ours.
    const setting = /^([^\s#;=][^=]*?)\s*=\s*(.*?)\s*$/.exec(line);
    if (setting === null || section === undefined) continue;
    section.set(setting[1]!.toLowerCase(), setting[2]!.replace(/\s[#;].*$/, "").trimEnd());
  }
  return sections;
}
