// Reads the ```ts blocks of a Markdown file and makes programs of them.
import ts from "typescript";

export function snippets(markdown) {
  const blocks = [];
  const fence = /^( *)(`{3,})(ts|typescript)([^\n`]*)\n([\s\S]*?)^\1\2 *$/gm;
  for (const match of markdown.matchAll(fence)) {
    const words = match[4].trim().split(/\s+/);
    const before = blocks.at(-1);
    const own = match[5];
    blocks.push({
      line: markdown.slice(0, match.index).split("\n").length + 1,
      code: words.includes("continue") && before ? `${before.code}\n${own}` : own,
      run: !words.includes("no-run"),
    });
  }
  return blocks;
}

export function compileSnippet(code) {
  const { outputText, diagnostics } = ts.transpileModule(withAssertions(code), {
    reportDiagnostics: true,
    compilerOptions: {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.ESNext,
      verbatimModuleSyntax: false,
    },
  });
  if (diagnostics.length > 0) {
    throw new Error(ts.flattenDiagnosticMessageText(diagnostics[0].messageText, "\n"));
  }
  return outputText;
}

// `expression; // → value` and `const name = expression; // → value` become assertions.
// Without the arrow they do so when the comment is a literal, such as // [1, 2, 3].
function withAssertions(code) {
  const source = ts.createSourceFile("snippet.ts", code, ts.ScriptTarget.ES2022, true);
  const edits = [];
  visit(source);
  const prelude =
    edits.length > 0 ? `import { deepStrictEqual as __equal } from "node:assert";` : "";
  let text = code;
  for (const { at, end, insert } of edits.sort((a, b) => b.at - a.at)) {
    text = text.slice(0, at) + insert + text.slice(end);
  }
  return prelude + text;

  function visit(node) {
    const expected = ts.isStatement(node) && promise(node);
    if (expected) {
      if (ts.isExpressionStatement(node)) {
        const { expression } = node;
        const shown = printed(expression) ?? expression;
        const at = expression.getStart();
        const insert = `__equal(${shown.getText()}, ${expected});`;
        edits.push({ at, end: node.end, insert });
        return;
      }
      const [declaration, another] = node.declarationList?.declarations ?? [];
      if (declaration && !another && ts.isIdentifier(declaration.name)) {
        const insert = ` __equal(${declaration.name.text}, ${expected});`;
        edits.push({ at: node.end, end: node.end, insert });
        return;
      }
    }
    ts.forEachChild(node, visit);
  }

  function promise(node) {
    if (!ts.isExpressionStatement(node) && !ts.isVariableStatement(node)) return undefined;
    const [comment] = ts.getTrailingCommentRanges(code, node.end) ?? [];
    if (comment?.kind !== ts.SyntaxKind.SingleLineCommentTrivia) return undefined;
    const text = code.slice(comment.pos + 2, comment.end).trim();
    const value = text.replace(/^→\s*/, "");
    if (literal(value)) return value;
    if (value !== text) throw new Error(`not a value that can be compared: ${text}`);
    return undefined;
  }
}

// What console.log(x) prints is compared as x.
function printed(expression) {
  const call = ts.isCallExpression(expression) && expression.arguments.length === 1;
  return call && expression.expression.getText() === "console.log"
    ? expression.arguments[0]
    : undefined;
}

function literal(text) {
  const source = ts.createSourceFile("value.ts", `(${text})`, ts.ScriptTarget.ES2022, true);
  const [statement, another] = source.statements;
  if (another || source.parseDiagnostics.length > 0) return false;
  return ts.isExpressionStatement(statement) && isLiteral(statement.expression);
}

function isLiteral(node) {
  if (ts.isParenthesizedExpression(node)) return isLiteral(node.expression);
  if (ts.isArrayLiteralExpression(node)) return node.elements.every(isLiteral);
  if (ts.isObjectLiteralExpression(node)) {
    return node.properties.every((p) => ts.isPropertyAssignment(p) && isLiteral(p.initializer));
  }
  if (ts.isPrefixUnaryExpression(node)) return ts.isNumericLiteral(node.operand);
  if (ts.isNewExpression(node)) {
    const known = /^(Map|Set|Date|Uint8Array|Float64Array|Float32Array|Int32Array)$/;
    return known.test(node.expression.getText()) && (node.arguments ?? []).every(isLiteral);
  }
  if (ts.isIdentifier(node)) return ["undefined", "NaN", "Infinity"].includes(node.text);
  return (
    ts.isNumericLiteral(node) ||
    ts.isBigIntLiteral(node) ||
    ts.isStringLiteral(node) ||
    ts.isNoSubstitutionTemplateLiteral(node) ||
    [ts.SyntaxKind.TrueKeyword, ts.SyntaxKind.FalseKeyword, ts.SyntaxKind.NullKeyword].includes(
      node.kind,
    )
  );
}
