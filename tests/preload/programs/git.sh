#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# git: commits with fixed dates, threads in pack-objects and grep, gc, fsck, clone, merge, blame.
# needs: git

export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=c GIT_COMMITTER_EMAIL=c@example.org
export GIT_CONFIG_NOSYSTEM=1 GIT_PAGER=cat
commit() {
	GIT_AUTHOR_DATE="$((1500000000 + $1 * 60)) +0000" GIT_COMMITTER_DATE="$((1500000000 + $1 * 60)) +0000" \
		git commit -q -m "change $1"
}
git -c init.defaultBranch=main init -q repo
cd repo || exit
git config pack.threads 2
git config gc.auto 0
words 20000 >all
for i in {1..40}; do
	mkdir -p "d$((i % 5))"
	head -n $((i * 400)) all | sed "s/maple/$i/" >"d$((i % 5))/file"
	git add d* && commit "$i"
done
git checkout -q -b side HEAD~10
echo side >side && git add side && commit 50
git checkout -q main
GIT_AUTHOR_DATE="1600000000 +0000" GIT_COMMITTER_DATE="1600000000 +0000" git merge -q -m merge side
git log --oneline --graph | first 15
git log -p --stat | sha256sum
git gc -q --aggressive --prune=now && git count-objects | cut -d' ' -f1
git fsck --full --strict
git grep -c 'cedar larch' | first 5
git blame -s d1/file | cut -c1-8 | sort | uniq -c
git diff --word-diff HEAD~5 | sha256sum
git clone -q . ../clone && git -C ../clone rev-parse HEAD
git archive --format=tar HEAD | sha256sum
GIT_COMMITTER_DATE="1600000100 +0000" git rebase -q HEAD~3 && git describe --always
git rev-list --objects --all | wc -l
