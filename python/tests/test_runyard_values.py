"""What the `runyard` module takes, what it refuses, and how it is written."""

import os

from .journals import JournalTest


class Values(JournalTest):

    def test_outside_of_a_run(self):
        del self.env["RUNYARD_JOURNAL"]
        out, err = self.run_script("""
            import runyard
            assert not runyard.active() and runyard.run_id() is None
            runyard.log('x', 1); runyard.log_metrics({'x': 1}); runyard.set_tag('a', 1); runyard.log_row('t', a=1)
            runyard.log_image('i', b'\\x89PNG\\r\\n\\x1a\\n'); runyard.flush()
            open('f', 'w').close(); runyard.log_artifact('f')
            """)
        self.assertEqual(err.count("\n"), 1)
        self.assertIn("not inside a run", err)
        self.assertEqual(sorted(os.listdir(self.folder)), ["f", "journal", "script.py"])

    def test_values(self):
        self.run_script("""
            import runyard, decimal, fractions
            assert runyard.active() and runyard.run_id() == 'r1'
            class Tensor:
                def __init__(self, v): self.v = v
                def item(self):
                    if isinstance(self.v, list): raise ValueError('only one')
                    return self.v
            class Float(float): pass
            for value in (True, 2 ** 60, 10 ** 400, -10 ** 400, Tensor(1.5), Tensor(3), Float(2.5),
                          decimal.Decimal('0.5'), fractions.Fraction(1, 4), -0.0):
                runyard.log('v', value)
            runyard.log('s', 1.0, step=Tensor(4)); runyard.log('s', 1.0, step=5.0)
            for bad in ('1', None, b'1', 1j, Tensor([1, 2]), [1], {}, object()):
                for call in (lambda: runyard.log('bad', bad), lambda: runyard.log_metrics({'good': 1.0, 'bad': bad})):
                    try: call()
                    except TypeError: pass
                    else: raise AssertionError(repr(bad))
            for call, kind in ((lambda: runyard.log(1, 1), TypeError), (lambda: runyard.log('', 1), ValueError),
                               (lambda: runyard.log('x', 1, step='a'), TypeError),
                               (lambda: runyard.log('x', 1, step=1.5), TypeError),
                               (lambda: runyard.log('x' * 2000, 1), ValueError),
                               (lambda: runyard.log_metrics([1]), TypeError),
                               (lambda: runyard.log_params('a'), TypeError),
                               (lambda: runyard.log_table('t', {'a': [1], 'b': []}), ValueError),
                               (lambda: runyard.log_table('t', {'a': object()}), TypeError),
                               (lambda: runyard.log_row('t'), ValueError),
                               (lambda: runyard.log_confusion_matrix('c', [[1, 2]]), ValueError),
                               (lambda: runyard.log_confusion_matrix('c', [[1]], ['a', 'b']), ValueError),
                               (lambda: runyard.log_image('i', 7), TypeError),
                               (lambda: runyard.log_image('i', b'text'), TypeError),
                               (lambda: runyard.log_artifact('nowhere'), OSError),
                               (lambda: runyard.log_artifact('script.py', '../up'), ValueError),
                               (lambda: runyard.log_artifact('script.py', 'outputs'), ValueError)):
                try: call()
                except kind: pass
                else: raise AssertionError()
            """)
        lines, = self.files()
        self.assertEqual([line["m"]["v"] for line in lines[:10]],
                         [1, float(2 ** 60), "Infinity", "-Infinity", 1.5, 3, 2.5, 0.5, 0.25, 0.0])
        self.assertEqual([line["s"] for line in lines[10:]], [4, 5])

    def test_documents_images_and_artifacts(self):
        self.run_script("""
            import os, runyard
            class Array:
                def __init__(self, v): self.v = v
                def tolist(self): return self.v
            class Figure:
                def savefig(self, path, format): open(path, 'w').write('figure')
            runyard.log_confusion_matrix('c', {'schema_type': 'confusion_matrix', 'schema_version': 'v1',
                                               'data': {'class_labels': ['a', 'b'], 'matrix': [[1, 0], [0, 1]]}})
            runyard.log_confusion_matrix('d', Array([[1, 2], [3, 4]]))
            runyard.log_table('t', {'a': Array([1.0, float('inf')])})
            runyard.log_image('deep/../name?', Figure())
            runyard.log_image('deep/../name?', Figure())
            os.makedirs('model/part'); open('model/part/w', 'w').write('w'); open('model/c', 'w').write('c')
            runyard.log_artifact('model', 'kept')
            runyard.log_artifact('script.py')
            """)
        lines, = self.files()
        documents = [line["document"] for line in lines[:3]]
        self.assertEqual(documents[0]["value"], {"class_labels": ["a", "b"], "matrix": [[1, 0], [0, 1]]})
        self.assertEqual(documents[1]["value"], {"class_labels": ["0", "1"], "matrix": [[1, 2], [3, 4]]})
        self.assertEqual(documents[2]["value"], {"a": [1.0, "Infinity"]})
        images = [line["image"]["path"] for line in lines[3:5]]
        self.assertEqual(len(set(images)), 2)
        for path in images + [line["artifact"]["path"] for line in lines[5:]]:
            self.assertTrue(os.path.isfile(os.path.join(self.folder, "artifacts", path)), path)
        self.assertEqual([line["artifact"]["path"] for line in lines[5:]],
                         ["kept/model/c", "kept/model/part/w", "script.py"])

    def test_names_of_5000_metrics(self):
        self.run_script("import runyard\nfor i in range(5000): runyard.log('metric/%d' % i, i)\n")
        self.assert_points([("metric/%d" % i, i) for i in range(5000)])
