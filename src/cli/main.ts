import { main } from './program.ts';

// Output into a closed pipe (`| head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
// npm runs a script in the package's folder: paths are meant relative to where the person is.
if (process.env['npm_lifecycle_event'] === 'runyard' && process.env['INIT_CWD']) {
  process.chdir(process.env['INIT_CWD']);
}
await main(process.argv);
