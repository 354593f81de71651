// A skill is a document for a person or an agent; its fences ```nc:KIND ATTRIBUTES are applied by a program.
const OPEN = /^```nc:([a-z-]+)(.*)$/;

/** The directives of a skill: { kind, attributes, words, lines }; other fences are prose. */
export function parseDirectives(text) {
  const directives = [];
  let open = null;
  for (const line of text.split('\n')) {
    const match = OPEN.exec(line);
    if (open && line === '```') {
      directives.push(open);
      open = null;
    } else if (open) {
      if (line.trim()) open.lines.push(line);
    } else if (match) {
      const parts = match[2].trim().split(/\s+/).filter(Boolean);
      const pairs = parts.filter((part) => part.includes(':')).map((part) => part.split(/:(.*)/s).slice(0, 2));
      const words = parts.filter((part) => !part.includes(':'));
      open = { kind: match[1], attributes: Object.fromEntries(pairs), words, lines: [] };
    }
  }
  if (open) throw new Error(`nc:${open.kind} has no end`);
  return directives;
}
