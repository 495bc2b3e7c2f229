export { Lines } from "./lines.js";
export { Text } from "./text.js";
