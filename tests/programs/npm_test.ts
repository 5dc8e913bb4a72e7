/** npm install: a tree of many small files, unpacked, moved into place and linked. */
import { assertEquals } from "@std/assert";
import { onEach } from "./driver.ts";

onEach(
  "npm: a package is packed, and installed from its tarball",
  { needs: ["tool:npm", "tool:node"] },
  async ({ sh }) => {
    const script = `
    export npm_config_cache=$PWD/cache npm_config_update_notifier=false HOME=$PWD
    for name in answer question; do
      mkdir -p $name/lib $name/bin
      printf '{ "name": "%s", "version": "1.2.3", "bin": "bin/run.js", "main": "lib/1.js" }' $name > $name/package.json
      printf '#!/usr/bin/env node\\nconsole.log("%s", require("../lib/1.js"))' $name > $name/bin/run.js
      for i in $(seq 100); do echo "module.exports = $i + 41;" > $name/lib/$i.js; done
      npm pack --silent ./$name > /dev/null
    done
    mkdir app && cd app
    echo '{ "name": "app", "version": "1.0.0" }' > package.json
    npm install --offline --no-audit --no-fund --silent ../answer-1.2.3.tgz ../question-1.2.3.tgz
    node -e 'console.log(require("answer") + require("question/lib/2.js"))'
    node_modules/.bin/answer
    for name in answer question; do diff -r ../$name node_modules/$name; done
    npm ls --parseable | xargs -n 1 basename
    rm -r node_modules
    npm ci --offline --no-audit --no-fund --silent
    node_modules/.bin/question
    npm uninstall --offline --no-audit --no-fund --silent answer
    ls node_modules
  `;
    assertEquals(await sh(script), "85\nanswer 42\napp\nanswer\nquestion\nquestion 42\nquestion\n");
  },
);
