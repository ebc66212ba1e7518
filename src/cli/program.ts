import { Command, CommanderError } from 'commander';
import { RunyardError } from '../api/errors.ts';
import { Context, type GlobalOptions } from './context.ts';
import { printError, printJsonError } from './output.ts';
import { exit, type Register } from './register.ts';
import { addComputeCommands } from './compute-commands.ts';
import { addEnvironmentCommands } from './environment-commands.ts';
import { addRunCommands } from './run-commands.ts';
import { addServerCommands } from './server-commands.ts';
import { addSnapshotCommands } from './snapshot-commands.ts';
import { addWorkspaceCommands } from './workspace-commands.ts';

function usageError({ message }: CommanderError): RunyardError {
  const said = message === '(outputHelp)' ? 'No command is given.' : message.replace(/^error: /, '');
  return new RunyardError('bad_request', said, { action: 'Add --help for what can be said.' });
}

/** Parses and does one command line; the exit code goes to `process.exitCode`. */
export async function main(argv: string[]): Promise<void> {
  const program = new Command('runyard')
    .description('Runs and their metrics on machines you already have')
    .version(process.env['RUNYARD_BUILD_VERSION'] ?? 'from source')
    .exitOverride()
    .showHelpAfterError('(add --help for what can be said)');

  const register: Register = (command, action) => {
    command
      .option('--json', 'one JSON document (or one a line while following)')
      .option('--workspace <name>', 'the workspace; by default the current one')
      .option('--home <folder>', "Runyard's home; by default RUNYARD_HOME, else ~/.runyard")
      .exitOverride()
      .action(async (...given: unknown[]) => {
        const options = command.opts<GlobalOptions>();
        const args = given.slice(0, command.registeredArguments.length).flat() as string[];
        const context = new Context(options);
        try {
          await action(context, args, options as never);
        } catch (error) {
          printError(error, context.json);
          process.exitCode =
            error instanceof RunyardError && error.code === 'bad_request' ? exit.usage : exit.failed;
        } finally {
          context.client.close();
        }
      });
  };
  addRunCommands(program, register);
  addSnapshotCommands(program, register);
  addWorkspaceCommands(program, register);
  addComputeCommands(program, register);
  addEnvironmentCommands(program, register);
  addServerCommands(program, register);
  try {
    await program.parseAsync(argv);
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    process.exitCode = error.exitCode === 0 ? exit.done : exit.usage;
    // Commander has told the person; a program that asked for JSON gets its document.
    if (error.exitCode !== 0 && argv.includes('--json')) printJsonError(usageError(error));
  }
}
