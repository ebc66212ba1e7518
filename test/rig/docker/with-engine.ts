// Runs a command with a Docker engine of its own:  node test/rig/docker/with-engine.ts -- python3 -m unittest ...
// Where there can be none the command runs without, and its tests say so.
import { spawn } from 'node:child_process';
import { DockerEngine, dockerRigProblem, testImage } from './engine.ts';

const command = process.argv.slice(process.argv.indexOf('--') + 1);
const problem = dockerRigProblem();
// On a machine that is to prove everything, a missing engine is a failure.
if (problem && /^(1|true)$/i.test(process.env['CI'] ?? '')) {
  console.error(problem);
  process.exit(1);
}
const engine = problem ? undefined : await DockerEngine.start();
const more = engine ? { DOCKER_HOST: engine.address, RUNYARD_TEST_IMAGE: testImage } : {};
const child = spawn(command[0]!, command.slice(1), { stdio: 'inherit', env: { ...process.env, ...more } });
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
process.exitCode = await new Promise<number>((resolve) => {
  child.once('error', (error) => {
    console.error(error.message);
    resolve(1);
  });
  child.once('close', (code) => resolve(code ?? 1));
});
await engine?.close();
