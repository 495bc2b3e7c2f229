export { Lines, type LinesOptions } from "./lines.js";
export { Text } from "./text.js";
