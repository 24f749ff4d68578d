// Prints the codes that Khronos' validator reports for a GLB, with their severity and how often: node validate.mjs FILE
import { readFile } from 'node:fs/promises';
import validator from 'gltf-validator';

const report = await validator.validateBytes(new Uint8Array(await readFile(process.argv[2])), { maxIssues: 0 });
const counts = {};
for (const { code, severity } of report.issues.messages) {
    const key = `${severity} ${code}`;
    counts[key] = (counts[key] ?? 0) + 1;
}
console.log(JSON.stringify({ counts, info: report.info }));
