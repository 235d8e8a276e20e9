/** `holdfast completion SHELL`: made from the tree of commands, so that it can't disagree with it. */
import type { Command } from 'commander';
import type { Context } from '../context.ts';
import { exitStatus } from '../exit-status.ts';
import { ok, wrong, type Ended } from '../trouble.ts';

/** A command with what may follow it. */
interface Node {
  /** "lab up"; empty for the program itself. */
  readonly path: string;
  readonly words: readonly Word[];
}

interface Word {
  readonly word: string;
  readonly says: string;
}

export function completion(context: Context, root: Command, shell: string): Promise<Ended> {
  const nodes = nodesOf(root, [], optionsOf(root));
  switch (shell) {
    case 'bash':
      context.terminal.out(bash(nodes));
      break;
    case 'zsh':
      context.terminal.out(zsh(nodes));
      break;
    case 'fish':
      context.terminal.out(fish(nodes));
      break;
    default:
      return Promise.resolve(
        wrong(`there is no completion for ${JSON.stringify(shell)}`, 'The shells are bash, zsh and fish.'),
      );
  }
  return Promise.resolve(ok(exitStatus.done));
}

function optionsOf(command: Command): Word[] {
  return command.options
    .filter(({ hidden }) => !hidden)
    .flatMap(({ long, short, description }) =>
      [long, short].flatMap((word) => (word === undefined ? [] : [{ word, says: description }])),
    );
}

function nodesOf(command: Command, path: readonly string[], inherited: readonly Word[]): Node[] {
  const subcommands = command.commands.map((each) => ({ word: each.name(), says: each.description() }));
  const choices = command.registeredArguments
    .flatMap(({ argChoices = [] }) => argChoices)
    .map((word) => ({ word, says: '' }));
  const lists =
    path.join(' ') === 'get'
      ? ['servers', 'groups', 'mirrors', 'operations', 'events'].map((word) => ({ word, says: '' }))
      : [];
  const own = path.length === 0 ? [] : optionsOf(command);
  const words = [
    ...subcommands,
    ...choices,
    ...lists,
    ...own,
    ...inherited,
    { word: '--help', says: 'show help' },
  ];
  return [
    { path: path.join(' '), words },
    ...command.commands.flatMap((each) => nodesOf(each, [...path, each.name()], inherited)),
  ];
}

const wordList = (words: readonly Word[]): string => words.map(({ word }) => word).join(' ');

/** The part that bash and zsh share: a case of the commands typed so far. */
const cases = (nodes: readonly Node[]): string =>
  nodes.map(({ path, words }) => `    '${path}') list='${wordList(words)}' ;;`).join('\n');

const parents = (nodes: readonly Node[]): string =>
  nodes
    .map(({ path }) => path)
    .filter((path) => path !== '')
    .map((path) => `'${path}'`)
    .join('|');

function bash(nodes: readonly Node[]): string {
  return `# bash completion of holdfast. Use it with: source <(holdfast completion bash)
_holdfast() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}" at='' try='' word list=''
  COMPREPLY=()
  case "$prev" in
    -f|--file|--dir|--etcd-ca|--etcd-cert|--etcd-key) COMPREPLY=($(compgen -f -- "$cur")); return ;;
    -o|--output) COMPREPLY=($(compgen -W 'table wide json yaml' -- "$cur")); return ;;
  esac
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    try="\${at:+$at }$word"
    case "$try" in ${parents(nodes)}) at="$try" ;; esac
  done
  case "$at" in
${cases(nodes)}
  esac
  COMPREPLY=($(compgen -W "$list" -- "$cur"))
}
complete -F _holdfast holdfast
`;
}

function zsh(nodes: readonly Node[]): string {
  return `#compdef holdfast
# zsh completion of holdfast. Use it with: source <(holdfast completion zsh)
_holdfast() {
  local at='' try='' word list=''
  case "\${words[CURRENT-1]}" in
    -f|--file|--dir|--etcd-ca|--etcd-cert|--etcd-key) _files; return ;;
    -o|--output) compadd -- table wide json yaml; return ;;
  esac
  for word in "\${(@)words[2,CURRENT-1]}"; do
    try="\${at:+$at }$word"
    case "$try" in ${parents(nodes)}) at="$try" ;; esac
  done
  case "$at" in
${cases(nodes)}
  esac
  compadd -- \${=list}
}
(( $+functions[compdef] )) && compdef _holdfast holdfast
`;
}

function fish(nodes: readonly Node[]): string {
  const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  const lines = nodes.flatMap(({ path, words }) =>
    words.map(({ word, says }) => {
      const about = says === '' ? '' : ` -d ${quoted(says)}`;
      return `complete -c holdfast -n "test (__holdfast_path) = ${quoted(path)}" -a ${quoted(word)}${about}`;
    }),
  );
  const known = nodes
    .map(({ path }) => path)
    .filter((path) => path !== '')
    .map(quoted)
    .join(' ');
  return `# fish completion of holdfast. Use it with: holdfast completion fish | source
function __holdfast_path
  set -l path ''
  for word in (commandline -opc)[2..-1]
    set -l try (string trim "$path $word")
    contains -- "$try" ${known}; and set path $try
  end
  echo "$path"
end
complete -c holdfast -f
complete -c holdfast -n "__fish_contains_opt -s f file" -F
${lines.join('\n')}
`;
}
