#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# php, which loads extensions with RTLD_DEEPBIND: DOM, SimpleXML, XPath, mbstring, PDO with sqlite.
# needs: php

for ext in dom SimpleXML mbstring pdo_sqlite; do
	if ! php -m | grep -x "$ext" >/dev/null; then
		echo "php has no $ext"
		exit 77
	fi
done
cat >case.php <<'PHP'
<?php
$doc = new DOMDocument();
$root = $doc->appendChild($doc->createElement('root'));
for ($i = 0; $i < 5000; $i++) {
	$e = $root->appendChild($doc->createElement('item', "text $i & more"));
	$e->setAttribute('n', $i % 97);
}
$xml = $doc->saveXML();
echo strlen($xml), ' ', sha1($xml), "\n";
$again = new DOMDocument();
$again->loadXML($xml);
$xp = new DOMXPath($again);
echo $xp->query('//item[@n="13"]')->length, ' ', $xp->evaluate('string(//item[last()])'), "\n";
$s = simplexml_load_string($xml);
$n = 0;
foreach ($s->item as $item) $n += (int)$item['n'];
echo $n, ' ', count($s->xpath('//item[@n>90]')), "\n";
libxml_use_internal_errors(true);
var_dump(simplexml_load_string('<a><b></a>'));
echo count(libxml_get_errors()), "\n";
libxml_clear_errors();
$r = new XMLReader(); $r->XML($xml); $c = 0; while ($r->read()) $c++; $r->close(); echo $c, "\n";
$w = new XMLWriter(); $w->openMemory(); $w->startElement('x'); $w->text(str_repeat('<>', 1000)); $w->endElement(); echo strlen($w->outputMemory()), "\n";

$u = str_repeat('Grüße, мир, 世界! ', 2000);
echo mb_strlen($u), ' ', md5(mb_strtoupper($u)), ' ', mb_strpos($u, '世', 5000), ' ', md5(mb_convert_encoding($u, 'UTF-16LE', 'UTF-8')), "\n";
echo md5(mb_ereg_replace('[а-я]+', 'x', $u)), ' ', mb_strwidth($u), ' ', mb_detect_encoding($u), "\n";

$db = new PDO('sqlite::memory:');
$db->setAttribute(PDO::ATTR_ERRMODE, PDO::ERRMODE_EXCEPTION);
$db->exec('create table t(a integer primary key, b text)');
$db->beginTransaction();
$q = $db->prepare('insert into t values(?, ?)');
for ($i = 0; $i < 20000; $i++) $q->execute([$i, md5($i)]);
$db->commit();
$db->sqliteCreateFunction('rev', fn($s) => strrev($s));
echo json_encode($db->query("select count(*), min(rev(b)), max(b) from t where b like '%a7%'")->fetch(PDO::FETCH_NUM)), "\n";
try { $db->exec('select nothing'); } catch (PDOException $e) { echo get_class($e), "\n"; }
$file = new SQLite3('case.db'); $file->exec('create table x(y)'); $file->exec('insert into x values(42)');
echo $file->querySingle('select y from x'), "\n"; $file->close();

$a = []; for ($i = 0; $i < 300000; $i++) $a["k$i"] = str_repeat('v', $i % 50);
echo count($a), ' ', strlen(serialize($a)), ' ', count(unserialize(serialize($a))), "\n";
echo preg_match_all('/(\w)\1/u', $u), ' ', strlen(json_encode($a)), ' ', crc32(gzencode('x') !== '' ? 'gz' : ''), "\n";
function gen() { for ($i = 0; $i < 1000; $i++) yield new ArrayObject([$i]); }
$sum = 0; foreach (gen() as $o) $sum += $o[0]; echo $sum, "\n";
PHP
php case.php
echo "== with the system allocator only"
USE_ZEND_ALLOC=0 php case.php | sha256sum
