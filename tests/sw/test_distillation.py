import torch

from downshift.sw.training.config import Distillation
from downshift.sw.training.distillation import Lesson


def test_labels_teach_with_the_share_that_is_left():
    logits = torch.tensor([[[2.0, 0.0]], [[1.0, 0.5]], [[0.2, 0.4]]])
    labels = torch.tensor([1])

    def losses(distillation, temperature=1.0):
        lesson = Lesson(labels, distillation, share=0.25, temperature=temperature)
        return [lesson.loss(z) for z in logits]

    def expected(pupil, teacher, t=1.0):
        hard = -pupil.log_softmax(1)[0, 1]
        soft = -((teacher / t).softmax(1) * (pupil / t).log_softmax(1)).sum() * t * t
        return 0.75 * hard + 0.25 * soft

    a, b, c = logits
    hard = [-z.log_softmax(1)[0, 1] for z in logits]
    torch.testing.assert_close(losses(Distillation.NONE), hard)
    star = [hard[0], expected(b, a), expected(c, a)]
    torch.testing.assert_close(losses(Distillation.STAR), star)
    chain = [hard[0], expected(b, a, 2.0), expected(c, b, 2.0)]
    torch.testing.assert_close(losses(Distillation.CHAIN, 2.0), chain)
