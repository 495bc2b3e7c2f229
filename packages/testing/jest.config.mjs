export default { preset: "tooling" };
