// The bodies of scripted answers: whole, or in pieces. tests/oracle/bodies.py says the same in Python.

const encoder = new TextEncoder();
const boundary = "graphql";

export function headersOf(answer) {
  const type = isInPieces(answer) ? `multipart/mixed; boundary=${boundary}` : "application/json";
  return answer.headers ?? { "content-type": type };
}

// A list of [ms after what came before, bytes]; null for a body that comes at once, together with its head.
export function piecesOf(answer, owners) {
  const { pieces, parts, bodyAfter, cut } = answer;
  if (pieces) {
    return pieces.map(([after, piece]) => [after, bytesOf(piece)]);
  }
  if (parts) {
    return parts.map(([after, value], index) => [after, partOf(value, index === 0, index === parts.length - 1 && !cut)]);
  }
  return bodyAfter ? [[bodyAfter, cut ? new Uint8Array() : encoder.encode(textOf(answer, owners))]] : null;
}

export function bytesAtOnce(answer, owners) {
  return encoder.encode(textOf(answer, owners));
}

function isInPieces({ pieces, parts }) {
  return pieces !== undefined || parts !== undefined;
}

// A text, or { bytes } with a character for each byte, to cut a character in two.
function bytesOf(piece) {
  return typeof piece === "string" ? encoder.encode(piece) : Uint8Array.from(piece.bytes, (one) => one.charCodeAt(0));
}

// One part, closed by its delimiter; the first one has a delimiter before it too.
function partOf(value, isFirst, isLast) {
  const start = isFirst ? `\r\n--${boundary}` : "";
  const end = `\r\n--${boundary}${isLast ? "--\r\n" : ""}`;
  return encoder.encode(`${start}\r\ncontent-type: application/json\r\n\r\n${JSON.stringify(value)}${end}`);
}

function textOf(answer, owners) {
  if ("text" in answer) {
    return answer.text;
  }
  if ("body" in answer) {
    return JSON.stringify(answer.body);
  }
  const echoes = owners.map((owner) => ({ data: { echo: owner.operation } }));
  return JSON.stringify(owners.isBatch ? echoes : echoes[0]);
}
