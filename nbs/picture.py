"Memory in a picture, for the pages that explain formats: each number of a small image a square, where its strides say that it lies."
import matplotlib.pyplot as plt, numpy as np
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyArrowPatch, Rectangle

colors,letters = ['#c8414f','#4f8f6c','#2f5f92','#c98a1b'],'RGBY'
def shade(c, k): return [1-(1-o)*k for o in to_rgb(colors[c])]

class Picture:
    "Squares of one size, each row below the last"
    def __init__(self,
        wide, # Squares beside each other
        high, # Height, in squares
        inches=5.2 # Width on a page
    ):
        self.fig,self.ax = plt.subplots(figsize=(inches, inches*high/wide), layout='constrained')
        self.ax.set(xlim=(-.1, wide+.1), ylim=(-high, 0), aspect='equal')
        self.ax.axis('off')
        self.y = 0

    def text(self, s, down=.9):
        self.y -= down
        self.ax.text(0, self.y+.15, s, fontsize=9)

    def square(self, x, y, c, h, w):
        "Row `h` and column `w` of channel `c`"
        self.ax.add_patch(Rectangle((x,y), 1, 1, fc=shade(c, .79+.07*(2*h+w)), ec='white', lw=1.5))
        self.ax.text(x+.5, y+.5, f'{letters[c]}{h}{w}', ha='center', va='center', color='white', fontsize=8, weight='bold')

    def planes(self, x):
        "The channels of image `x` as planes, side by side"
        self.text(f'shape {tuple(x.shape)}: the planes')
        for c,h,w in np.ndindex(x.shape[1:]): self.square(c*(x.shape[3]+.3)+w, self.y-1-h, c, h, w)
        self.y -= x.shape[2]+.3

    def row(self, x, title, first=0, arrows=True):
        "The memory of image `x`, slot by slot, in the order that its strides say; arrows are one step along W, H and C"
        self.text(f'{title}: strides {x.stride()}')
        steps = {k:s for k,s,n in zip('CHW', x.stride()[1:], x.shape[1:]) if n > 1} if arrows else {}
        above = .45+.27*max(s for k,s in steps.items() if k != 'W') if arrows else 0
        self.y -= 1+above
        for i in np.ndindex(x.shape[1:]): self.square(sum(a*s for a,s in zip(i, x.stride()[1:])), self.y, first+i[0], *i[1:])
        for k,s in steps.items(): self.step(k, s, k != 'W')
        self.y -= .45+.27*steps['W'] if arrows else .1

    def step(self, k, n, up):
        "An arrow from the first slot to the one `n` further"
        y,bend = (self.y+1.05, -.4) if up else (self.y-.05, .4)
        self.ax.add_patch(FancyArrowPatch((.5,y), (n+.5,y), arrowstyle='-|>', mutation_scale=8, color='#444444',
            connectionstyle=f'arc3,rad={bend}', shrinkA=0, shrinkB=0))
        self.ax.text(n/2+.5, y + (1 if up else -1)*(.2*n if n > 1 else .42), f'{k} {n}', ha='center', va='center', fontsize=8,
            bbox=dict(fc='white', ec='none', pad=1))
